"""Reading and writing of files: atomic files, CSV, text, containers of sound files, digests."""
