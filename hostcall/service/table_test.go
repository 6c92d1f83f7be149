package service

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
	"pgregory.net/rapid"
)

// TestTableModel compares descriptors and files with a model in memory: a file is a byte slice, a descriptor a file with a position.
func TestTableModel(t *testing.T) {
	const limit = 8
	type file struct{ b []byte }
	type open struct {
		*file
		at    int
		flags OpenFlags
	}
	dir := t.TempDir()
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		host := fmt.Sprintf("%s/%d", dir, run)
		mkdir(t, host)
		f, err := NewFiles(policy.Policy{Dirs: []policy.Dir{{Host: host, Guest: "/"}}, MaxOpen: limit})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files := map[string]*file{}
		table := make([]*open, limit)
		for fd := range 3 {
			table[fd] = &open{} // streams, closed and never used by the model
			_ = fd
		}
		name := rapid.SampledFrom([]string{"a", "b", "c"})
		data := rapid.SliceOfN(rapid.Byte(), 0, 20)
		descriptor := rapid.Int32Range(3, limit) // one too many
		get := func(fd int32) *open {
			if int(fd) >= limit {
				return nil
			}
			return table[fd]
		}
		check := func(what string, got, want errno.Errno) {
			if got != want {
				t.Fatalf("%s: %v, want %v", what, got, want)
			}
		}
		bytes := func(what string, n int, got []byte, want []byte) {
			if n != len(want) || string(got[:n]) != string(want) {
				t.Fatalf("%s: %q, want %q", what, got[:n], want)
			}
		}
		writeAt := func(o *open, p []byte, at int) {
			if need := at + len(p); len(p) > 0 && need > len(o.b) {
				o.b = append(o.b, make([]byte, need-len(o.b))...)
			}
			copy(o.b[min(at, len(o.b)):], p)
		}
		t.Repeat(map[string]func(*rapid.T){
			"open": func(t *rapid.T) {
				n := name.Draw(t, "name")
				flags := rapid.SampledFrom([]OpenFlags{
					ReadOnly, WriteOnly, ReadWrite, ReadWrite | Create, WriteOnly | Create | Truncate, ReadWrite | Append,
					ReadWrite | Create | Exclusive, WriteOnly | Create | Append, ReadOnly | Create | NoFollow,
				}).Draw(t, "flags")
				lowest := -1
				for fd := range table {
					if table[fd] == nil {
						lowest = fd
						break
					}
				}
				want := errno.OK
				switch exists := files[n] != nil; {
				case lowest < 0:
					want = errno.EMFILE
				case !exists && flags&Create == 0:
					want = errno.ENOENT
				case exists && flags&Exclusive != 0:
					want = errno.EEXIST
				}
				fd, e := f.Open(n, flags, 0o644)
				check("open", e, want)
				if e != errno.OK {
					return
				}
				if int(fd) != lowest {
					t.Fatalf("descriptor %d, want %d", fd, lowest)
				}
				if files[n] == nil {
					files[n] = &file{}
				}
				if flags&Truncate != 0 {
					files[n].b = nil
				}
				table[fd] = &open{file: files[n], flags: flags}
			},
			"close": func(t *rapid.T) {
				fd := descriptor.Draw(t, "fd")
				want := errno.OK
				if get(fd) == nil {
					want = errno.EBADF
				} else {
					table[fd] = nil
				}
				check("close", f.CloseFD(fd), want)
			},
			"renumber": func(t *rapid.T) {
				from, to := descriptor.Draw(t, "from"), descriptor.Draw(t, "to")
				want := errno.EBADF
				if a, b := get(from), get(to); a != nil && b != nil {
					want = errno.OK
					if from != to {
						table[from], table[to] = nil, a
					}
				}
				check("renumber", f.Renumber(from, to), want)
			},
			"read": func(t *rapid.T) {
				fd, p := descriptor.Draw(t, "fd"), make([]byte, rapid.IntRange(0, 30).Draw(t, "n"))
				n, e := f.Read(background, fd, p)
				o := get(fd)
				if o == nil || !o.flags.readable() {
					check("read", e, errno.EBADF)
					return
				}
				check("read", e, errno.OK)
				rest := o.b[min(o.at, len(o.b)):]
				rest = rest[:min(len(rest), len(p))]
				bytes("read", n, p, rest)
				o.at += n
			},
			"write": func(t *rapid.T) {
				fd, p := descriptor.Draw(t, "fd"), data.Draw(t, "data")
				half := len(p) / 2
				var n int
				var e errno.Errno
				if rapid.Bool().Draw(t, "all") {
					n, e = f.WriteAll(fd, [][]byte{p[:half], nil, p[half:]})
				} else {
					n, e = f.Write(fd, p)
				}
				o := get(fd)
				if o == nil || !o.flags.writable() {
					check("write", e, errno.EBADF)
					return
				}
				check("write", e, errno.OK)
				if n != len(p) {
					t.Fatalf("wrote %d of %d", n, len(p))
				}
				if o.flags&Append != 0 && n > 0 {
					o.at = len(o.b)
				}
				writeAt(o, p, o.at)
				o.at += n
			},
			"pread": func(t *rapid.T) {
				fd, p, at := descriptor.Draw(t, "fd"), make([]byte, rapid.IntRange(0, 30).Draw(t, "n")), rapid.IntRange(-2, 60).Draw(t, "at")
				n, e := f.Pread(fd, p, int64(at))
				switch o := get(fd); {
				case o == nil || !o.flags.readable():
					check("pread", e, errno.EBADF)
				case at < 0:
					check("pread", e, errno.EINVAL)
				default:
					check("pread", e, errno.OK)
					rest := o.b[min(at, len(o.b)):]
					bytes("pread", n, p, rest[:min(len(rest), len(p))])
				}
			},
			"pwrite": func(t *rapid.T) {
				fd, p, at := descriptor.Draw(t, "fd"), data.Draw(t, "data"), rapid.IntRange(-2, 60).Draw(t, "at")
				n, e := f.Pwrite(fd, p, int64(at))
				switch o := get(fd); {
				case o == nil || !o.flags.writable():
					check("pwrite", e, errno.EBADF)
				case at < 0:
					check("pwrite", e, errno.EINVAL)
				default:
					check("pwrite", e, errno.OK)
					if o.flags&Append != 0 {
						at = len(o.b)
					}
					writeAt(o, p, at)
					if n != len(p) {
						t.Fatalf("wrote %d of %d", n, len(p))
					}
				}
			},
			"seek": func(t *rapid.T) {
				fd, off, whence := descriptor.Draw(t, "fd"), rapid.IntRange(-20, 60).Draw(t, "off"), rapid.IntRange(-1, 3).Draw(t, "whence")
				at, e := f.Seek(fd, int64(off), whence)
				o := get(fd)
				if o == nil {
					check("seek", e, errno.EBADF)
					return
				}
				if whence < 0 || whence > 2 {
					check("seek", e, errno.EINVAL)
					return
				}
				to := off + []int{0, o.at, len(o.b)}[whence]
				if to < 0 {
					check("seek", e, errno.EINVAL)
					return
				}
				check("seek", e, errno.OK)
				if int(at) != to {
					t.Fatalf("seek: %d, want %d", at, to)
				}
				o.at = to
			},
			"truncate": func(t *rapid.T) {
				fd, size := descriptor.Draw(t, "fd"), rapid.IntRange(-1, 60).Draw(t, "size")
				e := f.Truncate(fd, int64(size))
				switch o := get(fd); {
				case o == nil:
					check("truncate", e, errno.EBADF)
				case size < 0 || !o.flags.writable():
					check("truncate", e, errno.EINVAL)
				default:
					check("truncate", e, errno.OK)
					if size <= len(o.b) {
						o.b = o.b[:size:size]
					} else {
						o.b = append(o.b, make([]byte, size-len(o.b))...)
					}
				}
			},
			"unlink": func(t *rapid.T) {
				n := name.Draw(t, "name")
				want := errno.OK
				if files[n] == nil {
					want = errno.ENOENT
				}
				check("unlink", f.Unlink(n), want)
				delete(files, n) // what is open stays
			},
			"rename": func(t *rapid.T) {
				from, to := name.Draw(t, "from"), name.Draw(t, "to")
				want := errno.OK
				if files[from] == nil {
					want = errno.ENOENT
				}
				check("rename", f.Rename(from, to), want)
				if want == errno.OK && from != to {
					files[to] = files[from]
					delete(files, from)
				}
			},
			"": func(t *rapid.T) {
				for n, file := range files {
					if s, e := f.Stat(n); e != errno.OK || s.Size != int64(len(file.b)) {
						t.Fatalf("stat %s: %+v, %v; want %d bytes", n, s, e, len(file.b))
					}
				}
				for fd, o := range table[3:] {
					s, e := f.Fstat(int32(fd + 3))
					switch {
					case o == nil:
						check("fstat", e, errno.EBADF)
					case e != errno.OK || s.Size != int64(len(o.b)):
						t.Fatalf("fstat %d: %+v, %v; want %d bytes", fd+3, s, e, len(o.b))
					}
				}
			},
		})
	})
}

func mkdir(t *rapid.T, path string) {
	if runtime.GOOS == "windows" {
		t.Skip("open files cannot be renamed or removed on Windows")
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
}
