"""Reading and writing of files: atomic files, rows of CSV, text, containers of sound, digests."""
