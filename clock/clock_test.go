package clock_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubnerite/hubnerite/clock"
)

func TestRealUntilMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.New(nil)
		for range 2 {
			if s := c.State(); !c.Now().Equal(time.Now()) || !s.Now.Equal(s.Real) || s.Offset != 0 || s.Frozen {
				t.Fatalf("shows %v: %+v", c.Now(), s)
			}
			time.Sleep(time.Hour)
		}
	})
}

func TestFreezeAndRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.New(nil)
		at := time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC)
		mustMove(t, c.Freeze(at))
		time.Sleep(time.Minute)
		if s := c.State(); !c.Now().Equal(at) || !s.Frozen || s.Offset != at.Sub(time.Now().Round(0)) {
			t.Fatalf("a frozen clock shows %v: %+v", c.Now(), s)
		}
		mustMove(t, c.Advance(time.Hour))
		if !c.Now().Equal(at.Add(time.Hour)) || !c.State().Frozen {
			t.Fatalf("advanced to %v", c.Now())
		}
		mustMove(t, c.Set(at))
		if !c.Now().Equal(at) || !c.State().Frozen {
			t.Fatalf("set to %v", c.Now())
		}
		mustMove(t, c.Run(time.Time{}))
		time.Sleep(time.Second)
		if !c.Now().Equal(at.Add(time.Second)) || c.State().Frozen {
			t.Fatalf("runs on to %v", c.Now())
		}
		mustMove(t, c.Set(at.Add(-time.Hour)))
		time.Sleep(time.Second)
		if !c.Now().Equal(at.Add(-time.Hour + time.Second)) {
			t.Fatalf("runs on to %v after it was set back", c.Now())
		}
		c.Reset()
		if !c.Now().Equal(time.Now()) {
			t.Fatalf("shows %v after the reset", c.Now())
		}
		mustMove(t, c.Freeze(time.Time{}))
		if !c.Now().Equal(time.Now()) {
			t.Fatalf("freezes at %v", c.Now())
		}
	})
}

// The times of a clock that runs can be compared and subtracted across a move.
func TestDifferencesAcrossMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.New(nil)
		began := c.Now()
		mustMove(t, c.Advance(time.Hour))
		time.Sleep(time.Second)
		if d := c.Now().Sub(began); d != time.Hour+time.Second {
			t.Errorf("%v later", d)
		}
		mustMove(t, c.Freeze(time.Time{}))
		mustMove(t, c.Advance(time.Minute))
		if d := c.Now().Sub(began); d != time.Hour+time.Second+time.Minute {
			t.Errorf("%v later", d)
		}
	})
}

// An advance stops once on the way; whoever watches is called before it returns.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.New(nil)
		start := c.Now()
		var moves [][2]time.Duration
		stop := c.Watch(func(before, now time.Time) {
			moves = append(moves, [2]time.Duration{before.Sub(start), now.Sub(start)})
		})
		mustMove(t, c.Advance(time.Hour))
		mustMove(t, c.Advance(10*time.Second))
		c.Reset()
		stop()
		mustMove(t, c.Advance(time.Hour))
		want := [][2]time.Duration{
			{0, time.Hour - 30*time.Second}, {time.Hour - 30*time.Second, time.Hour}, {time.Hour, time.Hour + 10*time.Second}, {time.Hour + 10*time.Second, 0},
		}
		if len(moves) != len(want) {
			t.Fatalf("told of %v, want %v", moves, want)
		}
		for i := range want {
			if moves[i] != want[i] {
				t.Errorf("move %d: %v, want %v", i, moves[i], want[i])
			}
		}
	})
}

func TestRefusedMoves(t *testing.T) {
	c := clock.New(nil)
	told := false
	c.Watch(func(time.Time, time.Time) { told = true })
	if err := c.Advance(-time.Second); err == nil {
		t.Error("a clock is advanced backwards")
	}
	for name, err := range map[string]error{
		"too early": c.Freeze(time.Date(1969, 12, 31, 0, 0, 0, 0, time.UTC)), "too late": c.Run(time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)),
		"far away": c.Advance(290 * 365 * 24 * time.Hour),
	} {
		if !errors.Is(err, clock.ErrOutOfRange) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s := c.State(); told || s.Frozen || s.Offset != 0 {
		t.Errorf("the clock was moved: %+v", s)
	}
}

func TestConcurrentUse(t *testing.T) {
	c := clock.New(nil)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			stop := c.Watch(func(time.Time, time.Time) { c.Now() })
			defer stop()
			for range 100 {
				if err := c.Advance(time.Second); err != nil {
					t.Error(err)
				}
				c.State()
			}
		})
	}
	all.Wait()
	if offset := c.State().Offset.Round(time.Second); offset != 400*time.Second {
		t.Errorf("400 advances of a second are %v", offset)
	}
}

func BenchmarkNow(b *testing.B) {
	c := clock.New(nil)
	b.Run("real", func(b *testing.B) {
		for b.Loop() {
			c.Now()
		}
	})
	_ = c.Advance(time.Hour)
	b.Run("moved", func(b *testing.B) {
		for b.Loop() {
			c.Now()
		}
	})
	b.Run("time.Now", func(b *testing.B) {
		for b.Loop() {
			time.Now()
		}
	})
}

func mustMove(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
