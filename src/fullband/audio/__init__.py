"""The signal path: files, resampling, spectra, filters, level and bandwidth. numpy only."""
