package service

import (
	"io"
	"os"
	"runtime"

	"github.com/dialtone-gpu/dialtone/hostcall/errno"
)

// indexCursor reads a directory through package os, which gives no positions: a cookie is the number of names before it. The last batch is
// kept, so that going on where the last call ended, or a little before, costs nothing; going back further starts anew.
type indexCursor struct {
	file  *os.File // the directory, opened for this cursor
	base  uint64   // cookie of batch[0]
	batch []os.DirEntry
	ended bool // nothing follows batch
}

const direntBatch = 256

func (c *indexCursor) read(e *entry, cookie uint64, list []Dirent) (int, error) {
	if e.root == nil {
		return 0, errno.EACCES
	}
	if c.file == nil || cookie < c.base || cookie == 0 {
		c.close()
		file, err := e.root.Open(".")
		if err != nil {
			return 0, err
		}
		*c = indexCursor{file: file}
	}
	for cookie >= c.base+uint64(len(c.batch)) {
		if c.ended {
			return 0, nil
		}
		batch, err := c.file.ReadDir(direntBatch)
		if err != nil && err != io.EOF {
			return 0, err
		}
		if len(batch) == 0 {
			c.ended = true
			continue
		}
		c.base += uint64(len(c.batch))
		c.batch = batch
	}
	n := 0
	for _, d := range c.batch[cookie-c.base:] {
		if n == len(list) {
			break
		}
		cookie++
		list[n] = Dirent{Name: d.Name(), Kind: kindOf(d.Type()), Next: cookie}
		if runtime.GOOS != "windows" { // where it would open the file and find no inode
			if info, err := e.root.Lstat(d.Name()); err == nil {
				list[n].Inode = statOf(info).Inode
			}
		}
		n++
	}
	return n, nil
}

func (c *indexCursor) close() {
	if c.file != nil {
		c.file.Close()
		c.file = nil
	}
}
