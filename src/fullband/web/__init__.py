"""The server: `app` puts it together, `live` is a call's socket, `hub` runs all calls together,
`access` says who may, `limits` how much, and `serving` starts and ends it. Extra `web`."""
