package service

import "os"

// newFileSource reads a disk's file directly. Consoles and pipes give no way to wait that works for all of them, so these are pumped.
func newFileSource(f *os.File) source {
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		return &instant{f}
	}
	return &pump{r: f}
}
