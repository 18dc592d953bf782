"""Batches: many X-rays sent together, each of which becomes a reading by itself.

`receiving` takes files, `zip_files` and `tables` look into ZIP and CSV files, `assigning` enters
whose X-rays they are, `reading` makes readings, `running` decides where that happens, and `ending`
cancels, removes and clears up. None of them needs a request. See docs/decisions/0053.
"""
