package service

import (
	"crypto/rand"

	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
)

// Random gives random bytes, fit for keys. Fill gives ENOTCAPABLE where the policy has NoRandom. The zero Random allows everything.
type Random struct{ denied bool }

// NewRandom returns the source that p allows.
func NewRandom(p policy.Policy) Random { return Random{denied: p.NoRandom} }

// Fill fills all of p. It does not allocate.
func (r Random) Fill(p []byte) errno.Errno {
	if r.denied {
		return errno.ENOTCAPABLE
	}
	rand.Read(p) // never fails: crypto/rand ends the process rather than give bytes that are not random
	return errno.OK
}
