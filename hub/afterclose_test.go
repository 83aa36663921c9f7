package hub

import "testing"

func TestAfterClose(t *testing.T) {
	f := newFixture(t)
	called := make(chan string, 3)
	f.AfterClose(func() { called <- "before" })
	if stop := f.AfterClose(func() { called <- "stopped" }); !stop() {
		t.Error("stop says that the function was called")
	}
	select {
	case name := <-called:
		t.Fatalf("%s was called by an open hub", name)
	default:
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got := <-called; got != "before" {
		t.Errorf("%s was called", got)
	}
	f.AfterClose(func() { called <- "after" })
	if got := <-called; got != "after" {
		t.Errorf("%s was called", got)
	}
}
