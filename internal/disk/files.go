package disk

import (
	"container/list"
	"errors"
	"io/fs"
	"sync"
)

// openFiles is how many xorb files and packs stay open when nobody reads them.
const openFiles = 256

// fileCache keeps files open that are read.
type fileCache struct {
	fs fsys

	mu    sync.Mutex
	files map[string]*cachedFile
	idle  *list.List // of *cachedFile without users, front is the last used
}

// cachedFile is an open file; release it after use.
type cachedFile struct {
	file
	cache *fileCache
	name  string
	users int           // guarded by cache.mu
	idle  *list.Element // guarded by cache.mu
}

func newFileCache(fs fsys) *fileCache {
	return &fileCache{fs: fs, files: make(map[string]*cachedFile), idle: list.New()}
}

func (c *fileCache) open(name string) (*cachedFile, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, ok := c.files[name]
	if !ok {
		opened, err := c.fs.open(name)
		if err != nil {
			return nil, err
		}
		f = &cachedFile{file: opened, cache: c, name: name}
		c.files[name] = f
	}
	if f.idle != nil {
		c.idle.Remove(f.idle)
		f.idle = nil
	}
	f.users++
	return f, nil
}

// release gives the file back to the cache. Errors of closing a file that was only read say nothing about its bytes.
func (f *cachedFile) release() {
	c := f.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.users--; f.users > 0 {
		return
	}
	f.idle = c.idle.PushFront(f)
	if c.idle.Len() > openFiles {
		last := c.idle.Remove(c.idle.Back()).(*cachedFile) //nolint:errcheck,forcetypeassert // the list holds nothing else
		delete(c.files, last.name)
		_ = last.Close()
	}
}

// closeRemoved closes the files that nobody reads and that have no name any more: until then they take room.
func (c *fileCache) closeRemoved() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := c.idle.Front(); e != nil; {
		f := e.Value.(*cachedFile) //nolint:errcheck,forcetypeassert // the list holds nothing else
		e = e.Next()
		if _, err := c.fs.size(f.name); errors.Is(err, fs.ErrNotExist) {
			c.idle.Remove(f.idle)
			delete(c.files, f.name)
			_ = f.Close()
		}
	}
}

// close closes all files; nobody may use them any more.
func (c *fileCache) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for name, f := range c.files {
		errs = append(errs, f.Close())
		delete(c.files, name)
	}
	c.idle.Init()
	return errors.Join(errs...)
}
