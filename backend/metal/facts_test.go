package metal_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dialtone-gpu/dialtone/capabilities"
	"github.com/dialtone-gpu/dialtone/hal"
)

// told gives a device's facts by name, and fails where one has no name, no source, or is there twice.
func told(t *testing.T, d *hal.Device) map[string]hal.Fact {
	t.Helper()
	all := map[string]hal.Fact{}
	for f := range d.Facts(t.Context()) {
		if _, twice := all[f.Name]; twice || f.Name == "" || f.Source == "" || f.Value != "" && f.Error != "" {
			t.Errorf("%+v", f)
		}
		all[f.Name] = f
	}
	return all
}

func TestFacts(t *testing.T) {
	needStandIn(t)
	d := again(t)
	all := told(t, d)
	for name, want := range map[string]string{
		"operatingSystemVersionString": "Version 0.0 (stand-in)", "name": "Stand-in GPU", "architecture": "stand-in", "registryID": "4660",
		"location": "18446744073709551615", "isLowPower": "0", "isHeadless": "1", "hasUnifiedMemory": "1", "recommendedMaxWorkingSetSize": "4294967296",
		"maxBufferLength": "268435456", "maxThreadsPerThreadgroup": "1024 1024 1024", "argumentBuffersSupport": "0", "counterSets": "",
		"supportsFamily(1008)": "1", "supportsFamily(1009)": "0", "supportsFamily(5001)": "1", "supportsCounterSampling(0)": "0",
		"newIOCommandQueueWithDescriptor:error:": "1", "newSharedEvent": "0", "newBufferWithBytesNoCopy:length:options:deallocator:": "0",
	} {
		if f, ok := all[name]; !ok || f.Value != want || f.Error != "" {
			t.Errorf("%s is %+v, want %q", name, f, want)
		}
	}
	if host, gpu, two := strings.Cut(all["sampleTimestamps"].Value, " "); !two || host == "0" || gpu == "0" {
		t.Errorf("timestamps: %+v", all["sampleTimestamps"])
	}
	claims := capabilities.Claims(d.Info(), slices.Collect(d.Facts(t.Context())))
	for id, want := range map[capabilities.ID]capabilities.State{
		capabilities.MemUnified: capabilities.Claimed, capabilities.Atomic64: capabilities.Claimed, capabilities.FileReadDirect: capabilities.Claimed,
		capabilities.SyncTimeline: capabilities.No, capabilities.MemRegister: capabilities.No, capabilities.ArgsBindless: capabilities.No,
		capabilities.TimerBoundary: capabilities.No, capabilities.IDStable: capabilities.No, capabilities.PeerCopy: capabilities.No,
	} {
		if claims[id].State != want {
			t.Errorf("%s is %s, want %s: %+v", id, claims[id].State, want, claims[id].Facts)
		}
	}
	must(t, d.Close())
	if facts := slices.Collect(d.Facts(t.Context())); facts != nil {
		t.Errorf("a closed device says %+v", facts)
	}
}

// TestFactsOfAnOldSystem: a message that it does not know is a fact with an error, and claims nothing.
func TestFactsOfAnOldSystem(t *testing.T) {
	s := needStandIn(t)
	d := again(t)
	s.Fault("old system", -1)
	defer s.Fault("old system", 0)
	all := told(t, d)
	for _, name := range []string{"registryID", "hasUnifiedMemory", "maxBufferLength", "architecture", "counterSets", "supportsFamily(1008)", "supportsCounterSampling(0)", "sampleTimestamps"} {
		if f := all[name]; !strings.Contains(f.Error, "does not respond to ") {
			t.Errorf("%s is %+v", name, f)
		}
	}
	if all["name"].Value != "Stand-in GPU" || all["maxThreadsPerThreadgroup"].Value != "1024 1024 1024" || all["newIOCommandQueueWithDescriptor:error:"].Value != "0" {
		t.Errorf("%+v", all)
	}
	claims := capabilities.Claims(d.Info(), slices.Collect(d.Facts(t.Context())))
	for id, want := range map[capabilities.ID]capabilities.State{
		capabilities.MemUnified: capabilities.Unknown, capabilities.Atomic64: capabilities.Unknown, capabilities.FileReadDirect: capabilities.No,
	} {
		if claims[id].State != want {
			t.Errorf("%s is %s, want %s: %+v", id, claims[id].State, want, claims[id].Facts)
		}
	}
}
