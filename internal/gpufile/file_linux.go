package gpufile

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

// Create makes a file with that content and opens it past the page cache: open(2), O_DIRECT.
func Create(path string, content []byte) (*os.File, error) {
	return create(path, content, syscall.O_DIRECT)
}

// createPlain is Create for a file that goes through the page cache.
func createPlain(path string, content []byte) (*os.File, error) { return create(path, content, 0) }

func create(path string, content []byte, flag int) (*os.File, error) {
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
		if f, err = os.OpenFile(path, os.O_RDWR|flag, 0); err == nil {
			return f, nil
		}
	}
	os.Remove(path)
	return nil, err
}

// refusal reports whether the kernel says that there is no way from the storage to the device.
func refusal(e syscall.Errno) bool {
	return e == syscall.ENODEV || e == syscall.EREMOTEIO || e == syscall.EOPNOTSUPP
}

// callBytes is the sum of rchar and wchar: proc_pid_io(5). What a driver moves by itself is in neither.
func callBytes() (int64, error) {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0, fmt.Errorf("what the host copies cannot be told: %w", err)
	}
	var read, written int64
	if _, err := fmt.Sscanf(strings.ReplaceAll(string(text), "\n", " "), "rchar: %d wchar: %d", &read, &written); err != nil {
		return 0, fmt.Errorf("what the host copies cannot be told: /proc/self/io: %w", err)
	}
	return read + written, nil
}
