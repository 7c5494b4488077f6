"""What a data set, a folder of one's own files or a run holds, what is doubtful, and with which commands to go on."""
