package service

// Windows has no names in directories for what an open could wait for, and the check after the open finds what is no directory.
const (
	openAlways    = 0
	openDirectory = 0
)
