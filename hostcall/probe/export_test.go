package probe

import (
	"os"
	"time"
)

// Children of tests get the limit by the environment.
func init() {
	if d, err := time.ParseDuration(os.Getenv("DIALTONE_TEST_LIMIT")); err == nil {
		limit = d
	}
}

// SetLimit sets how long a kernel may take, until restore.
func SetLimit(d time.Duration) (restore func()) {
	was := limit
	limit = d
	return func() { limit = was }
}

// Advances is what the probe of cycles goes by.
var Advances = advances
