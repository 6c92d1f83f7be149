package wasi

// For tests, which stand in for the device.
const (
	RequestParams = requestParams
	ReplyState    = replyState
	ReplyTotal    = replyTotal
	ReplyLength   = replyLength
	ReplyBrief    = replyBrief
	ReplyWords    = replyWords
	BriefBytes    = briefBytes
	StateEnded    = stateEnded
	MostPieces    = mostPieces
)

var WasiErrno = wasiErrno

// Words is how many words the parameters of a call take.
func (c Call) Words() int { return c.words() }

// Wide says which parameters have 64 bits.
func (c Call) Wide() []bool { return c.wide() }
