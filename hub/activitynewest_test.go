package hub

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// TestNewestActivity compares with the end of what ReadActivity has, for selections that need one step backwards and several.
func TestNewestActivity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, ctx := newFixture(t), context.Background()
		rare, often := f.device("rare"), f.device("often")
		a, _ := f.connect(rare, "mqtt")
		b, _ := f.connect(often, "mqtt")
		f.mustSend(a, "first")
		for i := range 1300 {
			if i%100 == 0 {
				time.Sleep(time.Second) // of the bubble
				f.Refused("telemetry", "mqtt", "", often, iothub.NewError(iothub.CodeMessageTooLarge, "Too large."))
			}
			f.mustSend(b, fmt.Sprint(i))
		}
		middle, err := f.ActivityPosition()
		if err != nil {
			t.Fatal(err)
		}
		f.mustSend(a, "last")
		last, err := f.ActivityPosition()
		if err != nil {
			t.Fatal(err)
		}
		for name, q := range map[string]ActivityQuery{
			"all": {}, "telemetry": {Kinds: []ActivityKind{ActivityTelemetry}}, "refusals": {Kinds: []ActivityKind{ActivityRefusal}}, "one device": {DeviceID: "rare"},
			"a body":      {Select: func(a *Activity) bool { return a.Telemetry != nil && len(a.Telemetry.Body) == 1 }},
			"since":       {Since: middle},
			"from latest": {Since: LatestPosition},
		} {
			all, err := f.ReadActivity(ctx, q, 10000)
			if err != nil {
				t.Fatal(err)
			}
			for _, limit := range []int{1, 3, 300, 5000} {
				want := all.Activities[max(0, len(all.Activities)-limit):]
				got, err := f.NewestActivity(ctx, q, limit)
				if err != nil {
					t.Fatal(err)
				}
				if got.Position != last {
					t.Errorf("%s, %d: position %s, want %s", name, limit, got.Position, last)
				}
				if len(got.Activities) != len(want) || len(want) > 0 && !reflect.DeepEqual(got.Activities, want) {
					t.Errorf("%s, %d: %d activities, want %d: %s, want %s", name, limit, len(got.Activities), len(want), kindsOf(got.Activities), kindsOf(want))
				}
			}
		}
		if _, err := f.NewestActivity(ctx, ActivityQuery{Since: "nonsense"}, 1); iothub.ErrorCode(err) != iothub.CodeArgumentInvalid {
			t.Errorf("a position that is none: %v", err)
		}
	})
}
