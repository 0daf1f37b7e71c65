"""The server: `app` puts it together and `serving` starts and ends it. Calls: `live` is a call's
socket, `hub` runs all calls together. Files: `enhancing` has what is asked for, `uploads` takes
bodies, `jobs` does the work and keeps the files. The page: `page` has its files, `vendor` what of
them is other people's, `site` knows them all, `pages` sends them. `access` says who may, `limits`
how much, `refusals` how a no is said, and `metrics` counts. Extra `web`."""
