package service

import "syscall"

func fillStat(s *Stat, sys any) {
	if d, ok := sys.(*syscall.Win32FileAttributeData); ok {
		s.ATime, s.CTime = d.LastAccessTime.Nanoseconds(), d.LastWriteTime.Nanoseconds()
	}
}
