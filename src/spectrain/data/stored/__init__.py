"""Arrays on disk of which rows or windows are taken, whatever their form: mapped, unpacked, or read by a library."""
