"""One training and everything it left behind: the folder, the trackers, the report, the migrations."""
