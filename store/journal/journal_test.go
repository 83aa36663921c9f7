package journal

import (
	"testing"

	"github.com/hubnerite/hubnerite/store"
	"github.com/hubnerite/hubnerite/store/storetest"
)

func TestContract(t *testing.T) {
	for _, mode := range []store.Durability{store.DurabilityNone, store.DurabilityOS, store.DurabilityFsync} {
		for name, o := range map[string]Options{
			"defaults": {},
			// Reads come from segments, and there are many.
			"small": {TailBytes: 1, SegmentBytes: 48 << 10, BufferBytes: 1 << 10},
		} {
			t.Run(string(mode)+"/"+name, func(t *testing.T) {
				storetest.RunLog(t, storetest.LogBackend{Durable: true, Open: func(dir string, asked storetest.LogOptions) (store.Log, error) {
					o := o
					o.Durability, o.Partitions, o.MaxBytes, o.Now = mode, asked.Partitions, asked.MaxBytes, asked.Now
					if o.Retention = asked.Retention; o.Retention == 0 {
						o.Retention = -1 // the suite's times are of the past
					}
					return Open(dir, o)
				}})
			})
		}
	}
}
