package hub

import "context"

// AfterClose calls f on a goroutine of its own once the hub closes, at once when it has. Front ends end what the
// hub does not know as a connection: a reset closes a hub while they go on serving others. stop takes it
// back; it is false when f was called.
func (h *Hub) AfterClose(f func()) (stop func() bool) { return context.AfterFunc(h.ending, f) }
