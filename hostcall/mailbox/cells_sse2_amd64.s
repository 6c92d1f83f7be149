//go:build !race

#include "textflag.h"

// func interleave(dst unsafe.Pointer, words *uint32, n int, tag uint32)
// Writes n cells, a multiple of 4, of words and one tag. SSE2, which every amd64 has.
TEXT ·interleave(SB), NOSPLIT, $0-28
	MOVQ dst+0(FP), DI
	MOVQ words+8(FP), SI
	MOVQ n+16(FP), CX
	MOVL tag+24(FP), AX
	MOVQ AX, X0
	PSHUFD $0, X0, X0
loop:
	MOVOU (SI), X1
	MOVOU X1, X2
	PUNPCKLLQ X0, X1
	PUNPCKHLQ X0, X2
	MOVOU X1, (DI)
	MOVOU X2, 16(DI)
	ADDQ $16, SI
	ADDQ $32, DI
	SUBQ $4, CX
	JNZ loop
	RET

// func prefetch(read, write unsafe.Pointer, readBytes, writeBytes int)
// Asks for the lines of both, those of write to be owned (PREFETCHW). Sizes are at least 1.
TEXT ·prefetch(SB), NOSPLIT, $0-32
	MOVQ read+0(FP), SI
	MOVQ write+8(FP), DI
	MOVQ readBytes+16(FP), CX
	MOVQ writeBytes+24(FP), DX
reads:
	PREFETCHT0 (SI)
	ADDQ $64, SI
	SUBQ $64, CX
	JGT reads
writes:
	BYTE $0x0f; BYTE $0x0d; BYTE $0x0f // PREFETCHW (DI)
	ADDQ $64, DI
	SUBQ $64, DX
	JGT writes
	RET

// func copyStream(dst, src unsafe.Pointer, n int)
// Whole lines, past the caches (MOVNTDQ): they are not read first. n is a multiple of 64, dst aligned to 16.
TEXT ·copyStream(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
lines:
	MOVOU (SI), X1
	MOVOU 16(SI), X2
	MOVOU 32(SI), X3
	MOVOU 48(SI), X4
	MOVNTO X1, (DI)
	MOVNTO X2, 16(DI)
	MOVNTO X3, 32(DI)
	MOVNTO X4, 48(DI)
	ADDQ $64, SI
	ADDQ $64, DI
	SUBQ $64, CX
	JNZ lines
	RET

// func streamFence()
// Orders what copyStream wrote before all that follows (SFENCE).
TEXT ·streamFence(SB), NOSPLIT, $0-0
	SFENCE
	RET
