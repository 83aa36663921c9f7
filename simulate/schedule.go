package simulate

import (
	"container/heap"
	"sync"
	"time"
)

const (
	// quantum is how long a schedule sleeps at least: what comes due in between is done together, which is what keeps a thousand devices cheap.
	quantum = 10 * time.Millisecond
	// never is when a task that is over is due next.
	never = int64(0)
)

// task is something that is due at a time, in nanoseconds of Unix time.
type task struct {
	due int64
	// order is that of the calls of add, for tasks of the same time.
	order uint64
	// do returns when it is due again, or never.
	do func(now int64) (again int64)
}

// schedule does tasks one after the other, in the order in which they come due.
type schedule struct {
	now func() time.Time

	mu    sync.Mutex
	tasks taskHeap
	count uint64
	// last is what the clock showed before, to notice when it is set back.
	last    int64
	wake    chan struct{}
	closing chan struct{}
	done    chan struct{}
}

func newSchedule(now func() time.Time) *schedule {
	return &schedule{now: now, wake: make(chan struct{}, 1), closing: make(chan struct{}), done: make(chan struct{})}
}

// add schedules do. It does not block.
func (s *schedule) add(due int64, do func(now int64) (again int64)) {
	s.mu.Lock()
	s.count++
	heap.Push(&s.tasks, &task{due, s.count, do})
	first := s.tasks[0].due == due
	s.mu.Unlock()
	if first {
		s.nudge()
	}
}

// nudge has the schedule look at the clock.
func (s *schedule) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run does tasks until close.
func (s *schedule) run() {
	defer close(s.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var due []*task
	for {
		var wait time.Duration
		due, wait = s.take(due[:0], true)
		for _, t := range due {
			select {
			case <-s.closing:
				return
			default:
			}
			if t.due = t.do(s.now().UnixNano()); t.due != never {
				s.mu.Lock()
				heap.Push(&s.tasks, t)
				s.mu.Unlock()
			}
		}
		if len(due) > 0 {
			// Whatever was added or is due by now comes in the next round.
			_, wait = s.take(nil, false)
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-s.wake:
		case <-s.closing:
			return
		}
	}
}

// take says how long to sleep, and appends the tasks that are due, which it removes, to due if it shall.
func (s *schedule) take(due []*task, remove bool) ([]*task, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now().UnixNano()
	if back := s.last - now; back > int64(time.Second) {
		// The clock was set back: everything keeps its distance from now.
		for _, t := range s.tasks {
			t.due -= back
		}
	}
	s.last = now
	for remove && len(s.tasks) > 0 && s.tasks[0].due <= now {
		due = append(due, heap.Pop(&s.tasks).(*task))
	}
	if len(s.tasks) == 0 {
		return due, time.Hour
	}
	return due, max(time.Duration(s.tasks[0].due-now), quantum)
}

// close ends run and waits for the task that is being done.
func (s *schedule) close() {
	close(s.closing)
	<-s.done
}

// taskHeap is a heap of tasks, the first one due first.
type taskHeap []*task

func (h taskHeap) Len() int { return len(h) }

func (h taskHeap) Less(i, j int) bool {
	return h[i].due < h[j].due || h[i].due == h[j].due && h[i].order < h[j].order
}

func (h taskHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

func (h *taskHeap) Push(t any) { *h = append(*h, t.(*task)) }

func (h *taskHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return last
}
