"""What `spectrain embed` writes and draws: the file, maps in few dimensions, nearest images."""
