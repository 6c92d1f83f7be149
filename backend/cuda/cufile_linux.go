package cuda

import (
	"os"
	"syscall"
)

// openDirect makes a file with that content and opens it past the page cache: open(2), O_DIRECT.
func openDirect(path string, content []byte) (*os.File, error) {
	plain, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = plain.Write(content)
	if err == nil {
		err = plain.Sync()
	}
	if e := plain.Close(); err == nil {
		err = e
	}
	if err == nil {
		var f *os.File
		if f, err = os.OpenFile(path, os.O_RDWR|syscall.O_DIRECT, 0); err == nil {
			return f, nil
		}
	}
	os.Remove(path)
	return nil, err
}
