package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"hugbucket/internal/daemon"
)

// watchMemory is where watches remember what they saw and whom they told: beside the store, where everybody finds it, and in a spare
// file that needs no disk. The disk of the store may be gone, full or read-only, and just then an alarm is neither to stay out nor to be
// repeated at every watch.
type watchMemory struct {
	beside, spare string // paths; without a spare one it is empty
	storeGone     bool   // there is no store to lay anything beside
}

// spareFile is the spare one: in the directory that the service manager gives the watch, as RUNTIME_DIRECTORY. It is empty where
// there is none.
func spareFile() string {
	if dir := os.Getenv("RUNTIME_DIRECTORY"); dir != "" {
		return filepath.Join(dir, "watch.json")
	}
	return ""
}

// loadSpare returns nil when there is nothing in the spare file, or it is damaged.
func (m watchMemory) loadSpare() (*daemon.Watch, error) {
	if m.spare == "" {
		return nil, nil
	}
	text, err := daemon.ReadBeside(m.spare)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	w := new(daemon.Watch)
	if err != nil || json.Unmarshal(text, w) != nil || w.Buckets == nil {
		return nil, err
	}
	return w, nil
}

// saveSpare comes first: it is the one that hardly ever fails.
func (m watchMemory) saveSpare(w *daemon.Watch) error {
	if m.spare == "" {
		return nil
	}
	return saveBeside(m.spare, w)
}

// saveBeside makes no new file where the store is gone: its disk may not be mounted, and this be the place for that.
func (m watchMemory) saveBeside(w *daemon.Watch) error {
	if _, err := os.Lstat(m.beside); m.storeGone && errors.Is(err, fs.ErrNotExist) {
		return nil // the watch fails all the same
	}
	return saveBeside(m.beside, w)
}
