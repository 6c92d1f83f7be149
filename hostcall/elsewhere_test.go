package hostcall_test

import (
	"testing"

	"github.com/dialtone-gpu/dialtone/internal/devicetest"
)

// TestOclgrind has the tests that are no matter of seconds for an interpreter.
func TestOclgrind(t *testing.T) {
	devicetest.Elsewhere(t, devicetest.Oclgrind, "^Test(PanickingCall|AnswersThatLookLikeTags|LoadErrors|Lap|Policy|PrintfWithTheWrongArguments|Exit|"+
		"AbortAndAssert|DefaultPolicy|Random|NobodyFollowsTheCancelled|BrokenPromise|SilentInput|Unanswerable|Cancel|Deaf|EndlessLaunch|Fault|"+
		"CallThatDoesNotReturn|CloseInAnyOrder)$", "OCLGRIND_CHECK_API=1")
}

// TestOclgrindRaces looks at every access of relaunched kernels: what work-items do to each other's memory at once they do by volatile
// accesses and atomics. (With the mailbox the host's side would be missing, and the polls would be millions.)
func TestOclgrindRaces(t *testing.T) {
	devicetest.Elsewhere(t, devicetest.Oclgrind, "^Test(NobodyFollowsTheCancelled|Random|SilentInput|Unanswerable|BrokenPromise)$/./relaunch", "OCLGRIND_DATA_RACES=1")
}

// TestRusticl leaves out what takes its compiler long and says no more than the rest.
func TestRusticl(t *testing.T) {
	devicetest.Elsewhere(t, devicetest.Rusticl, "^Test(AnswersThatLookLikeTags|LoadErrors|Policy|Exit|AbortAndAssert|Random|"+
		"NobodyFollowsTheCancelled|BrokenPromise|SilentInput|Unanswerable|Posted|Deaf|EndlessLaunch|Fault|CallThatDoesNotReturn|CloseInAnyOrder)$")
}
