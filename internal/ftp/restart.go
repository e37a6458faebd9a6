package ftp

import "sync/atomic"

// restart is what became of the last REST of a session. ftpserverlib v0.32.3 keeps a restart point until the next STOR or RETR, whatever
// comes between; a client that has long forgotten it would get, or replace, a part of a file in place of the whole. RFC 959 has the
// transfer follow immediately.
//
// The library does not tell of REST, but of its last command. So that is looked at whenever it waits for the next one. Of a client that
// sends several in one go some are not seen: a restart point is then taken for good.
type restart struct{ state atomic.Int32 }

const (
	restNone  = iota
	restSaid  // and nothing since that does not belong to the transfer
	restStale // something else came
)

// follow is told the last command, as often as anybody likes.
func (r *restart) follow(command string) {
	switch command {
	case "REST":
		r.state.Store(restSaid)
	case "EPSV", "PASV", "EPRT", "PORT", "TYPE", "MODE", "STRU", "PBSZ", "PROT", "ALLO":
	case "STOR", "RETR", "APPE": // lost answers for them
	default:
		r.state.CompareAndSwap(restSaid, restStale)
	}
}

// lost says, for a transfer that begins, whether a restart point that the library has for it was meant for something else.
func (r *restart) lost() bool { return r.state.Swap(restNone) == restStale }

// port is whether a session has asked for a passive port and not used it. A client that asks for the size of a file then is about to read
// it, as curl is; one that wants to know how much of its upload has come asks before, as lftp does. It is followed as restart is.
type port struct{ state atomic.Bool }

// follow is told the last command, as often as anybody likes.
func (p *port) follow(command string) {
	switch command {
	case "EPSV", "PASV":
		p.state.Store(true)
	case "TYPE", "MODE", "STRU", "PBSZ", "PROT", "ALLO", "SIZE", "MDTM", "REST":
	default:
		p.state.Store(false)
	}
}

func (p *port) asked() bool { return p.state.Load() }
