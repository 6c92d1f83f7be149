package cuda

import (
	"fmt"
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

// fileSystem names the type of the file system: statfs(2).
func fileSystem(path string) string {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return "an unknown file system"
	}
	names := map[int64]string{0xef53: "ext4", 0x58465342: "xfs", 0x01021994: "tmpfs", 0x9123683e: "btrfs", 0x794c7630: "overlayfs", 0x6969: "nfs", 0x0bd00bd0: "lustre", 0x2fc12fc1: "zfs"}
	if n, ok := names[int64(s.Type)]; ok {
		return n
	}
	return fmt.Sprintf("file system %#x", s.Type)
}
