package wasi

import (
	"bytes"
	"io"
	"sync"
)

// lineLimit is how much of an unfinished line is kept.
const lineLimit = 64 << 10

// lines cuts what an instance writes into whole lines, so that those of several instances are not mixed. Each Write to what is behind it is
// one or more lines; that must not mix them.
type lines struct {
	to io.Writer

	mu   sync.Mutex
	held []byte // of a line that has no end yet
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	end := bytes.LastIndexByte(p, '\n') + 1
	if end == 0 && len(l.held)+len(p) <= lineLimit {
		l.held = append(l.held, p...)
		return len(p), nil
	}
	if end == 0 {
		end = len(p) // it is too long to be kept
	}
	before := len(l.held)
	n, err := l.to.Write(append(l.held, p[:end]...))
	l.held = l.held[:0]
	if err != nil {
		return max(0, n-before), err
	}
	rest := p[end:]
	if len(rest) > lineLimit {
		k, err := l.to.Write(rest)
		return end + k, err
	}
	l.held = append(l.held, rest...)
	return len(p), nil
}

// finish writes what is held, as a line.
func (l *lines) finish() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.held) == 0 {
		return nil
	}
	_, err := l.to.Write(append(l.held, '\n'))
	l.held = nil
	return err
}
