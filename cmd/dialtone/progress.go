package main

import (
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// progressAfter is how long something may take before a terminal shows what it is.
const progressAfter = 300 * time.Millisecond

// progress shows on a terminal what takes long, and takes it away when that is done.
type progress struct {
	w        io.Writer
	terminal bool

	mutex sync.Mutex
	timer *time.Timer
	shown int // columns
}

// stage ends the one before.
func (p *progress) stage(text string) {
	p.done()
	if !p.terminal {
		return
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	var timer *time.Timer
	timer = time.AfterFunc(progressAfter, func() {
		p.mutex.Lock()
		defer p.mutex.Unlock()
		if p.timer != timer {
			return
		}
		line := shorten(text, 76) + " …"
		p.shown = utf8.RuneCountInString(line)
		io.WriteString(p.w, line)
	})
	p.timer = timer
}

// done leaves the terminal as it was.
func (p *progress) done() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	if p.shown > 0 {
		io.WriteString(p.w, blank(p.shown))
		p.shown = 0
	}
}

// blank wipes that many columns of the line: spaces, since not every terminal knows a sequence for it.
func blank(columns int) string { return "\r" + strings.Repeat(" ", columns) + "\r" }

// isTerminal takes every character device for a terminal: what the others do with a few bytes harms nobody.
func isTerminal(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// shorten cuts s to that many columns.
func shorten(s string, columns int) string {
	if utf8.RuneCountInString(s) <= columns {
		return s
	}
	return string([]rune(s)[:columns-1]) + "…"
}
