package service

import "syscall"

func fillStat(s *Stat, sys any) {
	if st, ok := sys.(*syscall.Stat_t); ok {
		s.ATime, s.CTime = st.Atimespec.Nano(), st.Ctimespec.Nano()
		s.Inode, s.Dev, s.Nlink = st.Ino, uint64(uint32(st.Dev)), uint64(st.Nlink)
	}
}
