package interpreter

import (
	"fmt"
	"strings"
)

// The words of what instances share, the image, and of an instance's state, each of 64 bits. C has them under the same names as macros.
// Offsets count words from the beginning of the image or of the state.
const (
	imageGlobals     = iota // in state: globals
	imageTables             // in state: tableWords for each table
	imageDataLengths        // in state: bytes that are left of each segment of data: all or none
	imageElemLengths        // in state: the same of elements
	imageDatas              // in image: where in the image each segment of data is
	imageElems              // in image: where in the image each segment of elements is
	imageCalls              // in state: a word for each call, from here
	imageCallsEnd
	imageFrames // in state: slots, from here
	imageFramesEnd
	imageStateWords    // of an instance
	imageMemoryBytes   // of an instance
	imageTemplate      // in image: what a state begins with
	imageTemplateWords // of that
	imageChunks        // in image: for each chunk of the initial memory where in the image it is, 0 for one of zeros
	imageChunkCount
	imageInstances
	imageEntries   // in image: where each function begins, in instructions
	imageFunctions // how many there are
	imageWords
)

const (
	statePC    = iota // of the next instruction
	stateFP           // slots before the frame
	stateDepth        // calls
	stateBytes        // of memory
	stateLimit        // that memory may have
	stateTrap         // 0 while the program runs; then stopEnd or the number of its trap
	stateEntry        // of the function to run
	stateSteps        // instructions executed, if they are counted
	stateArgs         // of the call that reports a trap
	stateWords = stateArgs + 3
)

const (
	tableAt   = iota // in state: its elements
	tableSize        // elements
	tableMost        // that there is room for
	tableWords
)

// Why vm->trap ends the loop of instructions without a trap.
const (
	stopEnd       = 0x100 + iota // the program came to its end
	stopHost                     // it calls the host
	stopFuel                     // it is another's turn
	stopInvalid                  // BUG: there is no such instruction
	stopCancelled                // the run is over
)

// What an instance waits for at a checkpoint.
const (
	waitsNot = iota
	waitsHost
	waitsFuel
	waitsTrap
)

// What vm_wasi_step returns.
const (
	_         = iota // done: the result is there
	stepAgain        // after a checkpoint
	stepLeave        // the kernel, now: nothing was changed
	stepOver         // the instance has come to its end
)

// chunkBytes is the unit in which initial memory is zero or not.
const chunkBytes = 4096

var defines = []struct {
	name  string
	value int
}{
	{"IMAGE_GLOBALS", imageGlobals}, {"IMAGE_TABLES", imageTables}, {"IMAGE_DATA_LENGTHS", imageDataLengths}, {"IMAGE_ELEM_LENGTHS", imageElemLengths},
	{"IMAGE_DATAS", imageDatas}, {"IMAGE_ELEMS", imageElems}, {"IMAGE_CALLS", imageCalls}, {"IMAGE_CALLS_END", imageCallsEnd},
	{"IMAGE_FRAMES", imageFrames}, {"IMAGE_FRAMES_END", imageFramesEnd}, {"IMAGE_STATE_WORDS", imageStateWords},
	{"IMAGE_MEMORY_BYTES", imageMemoryBytes}, {"IMAGE_TEMPLATE", imageTemplate}, {"IMAGE_TEMPLATE_WORDS", imageTemplateWords},
	{"IMAGE_CHUNKS", imageChunks}, {"IMAGE_CHUNK_COUNT", imageChunkCount}, {"IMAGE_INSTANCES", imageInstances}, {"IMAGE_ENTRIES", imageEntries},
	{"IMAGE_FUNCTIONS", imageFunctions},
	{"STATE_PC", statePC}, {"STATE_FP", stateFP}, {"STATE_DEPTH", stateDepth}, {"STATE_BYTES", stateBytes}, {"STATE_LIMIT", stateLimit},
	{"STATE_TRAP", stateTrap}, {"STATE_ENTRY", stateEntry}, {"STATE_STEPS", stateSteps}, {"STATE_ARGS", stateArgs},
	{"TABLE_AT", tableAt}, {"TABLE_SIZE", tableSize}, {"TABLE_MOST", tableMost}, {"TABLE_WORDS", tableWords},
	{"STOP_END", stopEnd}, {"STOP_HOST", stopHost}, {"STOP_FUEL", stopFuel}, {"STOP_INVALID", stopInvalid},
	{"STOP_CANCELLED", stopCancelled},
	{"WAITS_NOT", waitsNot}, {"WAITS_HOST", waitsHost}, {"WAITS_FUEL", waitsFuel}, {"WAITS_TRAP", waitsTrap},
	{"STEP_AGAIN", stepAgain}, {"STEP_LEAVE", stepLeave}, {"STEP_OVER", stepOver},
	{"CHUNK_WORDS", chunkBytes / 8},
}

func layoutDefines() string {
	var b strings.Builder
	for _, d := range defines {
		fmt.Fprintf(&b, "#define VM_%s %du\n", d.name, d.value)
	}
	return b.String()
}
