package registry

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/hubnerite/hubnerite/iothub"
)

// A query loses its columns to another one between two pieces of its rows, and
// they no longer fit: it is told to try again, and rows that it has are not repeated.
func TestSelectCrowdedOut(t *testing.T) {
	for name, r := range tableStores(t, nil) {
		t.Run(name, func(t *testing.T) {
			const n = 100
			for i := range n {
				id := iothub.ID{DeviceID: fmt.Sprintf("d%03d", i)}
				tags := map[string]any{"a": json.Number(fmt.Sprint(i)), "b": json.Number(fmt.Sprint(i))}
				if _, err := r.CreateWithTwin(t.Context(), Creation{ID: id, Twin: iothub.TwinPatch{Tags: tags}}); err != nil {
					t.Fatal(err)
				}
			}
			devices := r.noted.devices
			devices.chunk = 10
			if err := r.Select(t.Context(), Selection{Where: compile(t, "is_defined(tags.a)")}, func(Row) bool { return true }); err != nil {
				t.Fatal(err)
			}
			for _, c := range devices.columns {
				devices.limit = c.bytes() * 3 / 2 // room for one of the two
			}
			seen := 0
			crowd := func(Row) bool {
				if seen++; seen > 1 {
					return true
				}
				// Another query takes the room, and then the values of the first grow.
				if err := r.Select(t.Context(), Selection{Where: compile(t, "tags.b >= 0")}, func(Row) bool { return true }); err != nil {
					t.Error(err)
				}
				for i := range n {
					patch := iothub.TwinPatch{Tags: map[string]any{"a": strings.Repeat("x", 200) + fmt.Sprint(i)}}
					if _, _, err := r.PatchTwin(t.Context(), iothub.ID{DeviceID: fmt.Sprintf("d%03d", i)}, patch, ""); err != nil {
						t.Error(err)
					}
				}
				return true
			}
			err := r.Select(t.Context(), Selection{Where: compile(t, "is_defined(tags.a)")}, crowd)
			if iothub.ErrorCode(err) != iothub.CodeServerBusy || seen != 10 {
				t.Errorf("%d rows, error %v", seen, err)
			}
			// Asked again it reads the records, for its columns fit nowhere.
			again := 0
			if err := r.Select(t.Context(), Selection{Where: compile(t, "is_defined(tags.a)")}, func(Row) bool { again++; return true }); err != nil || again != n {
				t.Errorf("%d rows, error %v", again, err)
			}
		})
	}
}
