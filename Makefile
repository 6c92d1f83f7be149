# What contributors and CI run. "make test" is everything that needs no GPU; it installs what it can (.ci/deps).

GO      ?= go
TARGETS  = linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64
# What is concurrent enough to be worth the race detector, which needs cgo and so a C compiler.
RACE     = ./hal ./backend/cpu ./backend/hip ./backend/metal ./backend/opencl
# What serves calls is the same for every device, and the race detector sees nothing of kernels: one device will do.
RACE_CPU = ./hostcall/...
# Two packages at a time: much of the time goes into compilers. No test measures time, so kernels and the pollers that serve them may share the cores.
TEST     = $(GO) run .ci/gotest.go -p 2 -timeout 8m

# The module needs no cgo; only the race detector asks for it.
export CGO_ENABLED = 0

.NOTPARALLEL:
.PHONY: help test deps vet generated cross unit race test-hiprtc test-nvrtc generate bundle

help:
	@echo "make test        everything that needs no GPU: deps vet generated cross unit race"
	@echo "make unit        the tests alone, without cgo"
	@echo "make race        those of concurrent packages under the race detector"
	@echo "make cross       builds and vets for $(TARGETS)"
	@echo "make generate    writes generated files anew"
	@echo "make test-hiprtc HIP through AMD's compiler of Debian 13, which is unpacked into .cache"
	@echo "make test-nvrtc  CUDA C++ through NVIDIA's compiler, which is installed if it may be (not free software)"
	@echo "make bundle      bundle/: the tests and the bench for a machine with a GPU and without Go"
	@echo "NO_INSTALL=1 installs nothing."

test: deps vet generated cross unit race

deps:
	@.ci/deps

vet:
	$(GO) vet ./...
	$(GO) vet .ci/gotest.go
	$(GO) vet .ci/programs.go

generate:
	$(GO) generate ./hostcall/wire

generated:
	@old=$$(mktemp) && cp device/wire.h $$old && $(GO) generate ./hostcall/wire && \
	if cmp -s $$old device/wire.h; then rm $$old; else diff $$old device/wire.h; rm $$old; \
	echo "device/wire.h was not what hostcall/wire generates; it is now: commit it" >&2; exit 1; fi

cross:
	@for t in $(TARGETS); do \
		echo "build and vet for $$t"; \
		GOOS=$${t%/*} GOARCH=$${t#*/} $(GO) build ./... && GOOS=$${t%/*} GOARCH=$${t#*/} $(GO) vet ./... || exit 1; \
	done

unit:
	$(TEST) ./...

race:
	@if command -v "$${CC:-cc}" >/dev/null 2>&1; then \
		echo "CGO_ENABLED=1 $(TEST) -race $(RACE)"; \
		CGO_ENABLED=1 $(TEST) -race $(RACE) && \
		echo "DIALTONE_TEST_DEVICES=cpu:0 CGO_ENABLED=1 $(TEST) -race $(RACE_CPU)" && \
		DIALTONE_TEST_DEVICES=cpu:0 CGO_ENABLED=1 $(TEST) -race $(RACE_CPU); \
	else \
		echo "no C compiler: not run under the race detector"; \
	fi

# Programs of tests with Debian 13's C library and its loader in place of the system's.
HIPRTC      = $(CURDIR)/.cache/hiprtc/usr
TEST_HIPRTC = $(TEST) -count=1 -ldflags '-I $(HIPRTC)/lib64/ld-linux-x86-64.so.2' \
	-exec 'env LD_LIBRARY_PATH=$(HIPRTC)/lib/x86_64-linux-gnu DIALTONE_LIBAMDHIP=none'
test-hiprtc:
	@.ci/deps hiprtc
	@if [ -e $(HIPRTC)/lib64/ld-linux-x86-64.so.2 ]; then \
		$(TEST_HIPRTC) -run 'HIPRTC/gfx(942|1100)' ./device && $(TEST_HIPRTC) -run 'Hiprtc|WithoutGPU' ./backend/hip; \
	fi

# NVRTC is not free software, so that "make test" does without. It needs no GPU.
test-nvrtc:
	@.ci/deps nvrtc
	$(TEST) -count=1 -run CUDA ./device
	$(TEST) -count=1 ./backend/cuda

bundle:
	.ci/bundle
