package cpu

import (
	"os"
	"strconv"
	"strings"
)

// physicalMemory is the machine's memory in bytes, 0 where /proc/meminfo (proc(5)) is not there.
func physicalMemory() uint64 {
	data, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "MemTotal:" {
			kb, _ := strconv.ParseUint(f[1], 10, 64)
			return kb << 10
		}
	}
	return 0
}
