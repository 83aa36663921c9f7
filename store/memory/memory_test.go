package memory

import (
	"testing"

	"github.com/hubnerite/hubnerite/store"
	"github.com/hubnerite/hubnerite/store/storetest"
)

func TestData(t *testing.T) {
	storetest.RunData(t, storetest.DataBackend{Open: func(string) (storetest.Data, error) {
		s := New(Options{})
		return storetest.Data{Records: s.Records(), Queues: s.Queues(), Documents: s.Documents(), Close: s.Close}, nil
	}})
}

func TestLog(t *testing.T) {
	storetest.RunLog(t, storetest.LogBackend{Open: func(_ string, o storetest.LogOptions) (store.Log, error) {
		if o.Retention == 0 {
			o.Retention = -1 // the suite's times are of the past
		}
		return New(Options{Partitions: o.Partitions, MaxBytes: o.MaxBytes, Retention: o.Retention, Now: o.Now}).Log(), nil
	}})
}
