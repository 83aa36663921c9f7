package registry

import (
	"sync"

	"github.com/hubnerite/hubnerite/iothub"
)

// maxCachedTokens bounds the cache; when it is full it begins anew.
const maxCachedTokens = 1024

// tokenCache remembers what policies' tokens allow, by their text: a client sends
// the same one with every request until it expires. It belongs to policies that do not
// change. Tokens of identities are not for it, because their keys do.
type tokenCache struct {
	mu     sync.RWMutex
	grants map[string]iothub.Grant
}

func (c *tokenCache) get(token string) (iothub.Grant, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	g, ok := c.grants[token]
	return g, ok
}

func (c *tokenCache) add(token string, g iothub.Grant) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.grants == nil || len(c.grants) >= maxCachedTokens {
		c.grants = make(map[string]iothub.Grant, 16)
	}
	c.grants[token] = g
}
