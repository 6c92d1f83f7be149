//go:build !race

package mailbox

// race: the detector slows everything down and allocates.
const race = false
