"""What a training minimises. Training only; needs torch."""
