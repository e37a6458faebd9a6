package push

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"time"

	"hugbucket/internal/object"
)

// What goes wrong in this door beside what the object store and the file system return.
var (
	errPath     = errors.New("not a path of this door")
	errToken    = errors.New("token doesn't exist")
	errTooLarge = errors.New("file is larger than the bucket allows")
	errQuota    = errors.New("the bucket's quota has no room for it")
	errNoFile   = errors.New("missed 'file' field in form")
	errNoName   = errors.New("no file name in the path")
	errNoLength = errors.New("neither content nor its length")
	errManyFile = errors.New("more than one file in the form")
	errFrame    = errors.New("too much in the form beside the file")
	errBroken   = errors.New("form is broken")
	errCut      = errors.New("upload is incomplete")
	errIdle     = errors.New("no data for too long")
	errSlow     = errors.New("upload is too slow")
	errBucket   = errors.New("cannot create bucket dir or writable")

	errVersion     = errors.New("another version of tus")
	errTusMethod   = errors.New("not a method of tus, or not for this path")
	errTusContent  = errors.New("content of an upload is not " + tusContent)
	errOffset      = errors.New("upload has another offset")
	errLong        = errors.New("more content than the upload is long")
	errPieceSum    = errors.New("content does not have its Upload-Checksum")
	errLocked      = errors.New("another request of the same upload does not end")
	errTakenOver   = errors.New("another request has taken the upload over")
	errEnding      = errors.New("the daemon ends; what has come is kept")
	errFinished    = errors.New("upload is finished")
	errManyUploads = errors.New("too many unfinished uploads in this bucket")
	errManySteps   = errors.New("upload comes in too many small pieces")

	errHook      = errors.New("hook failed")
	errTokenBusy = errors.New("too many uploads at once with this token")
	errBusy      = errors.New("too many uploads at once")
)

// statusChecksum is what tus has for a checksum that does not match.
const statusChecksum = 460

// retryAfter is what a client is told to wait before it tries again, in seconds; 0 is nothing.
func retryAfter(err error) int64 {
	if e, ok := errors.AsType[*throttledError](err); ok {
		return int64((e.wait + time.Second - 1) / time.Second)
	}
	if errors.Is(err, errTokenBusy) || errors.Is(err, errBusy) || errors.Is(err, errEnding) || errors.Is(err, errManyUploads) {
		return retryBusy
	}
	return 0
}

// answerTo is the error table of this door: the status and the words for the client, which hold nothing but what is
// written here and the rule that a name breaks. Statuses 401, 403, 405, 409 and 412 mean what file-bucket promised.
func answerTo(err error) (status int, text string) {
	if bad, ok := errors.AsType[*object.InvalidError](err); ok {
		return http.StatusBadRequest, bad.Error()
	}
	if _, ok := errors.AsType[*refusedError](err); ok || errors.Is(err, errHook) { // whatever else a hook's failure is
		return http.StatusConflict, "upload aborted due to pre-push hook"
	}
	if _, ok := errors.AsType[*throttledError](err); ok {
		return http.StatusTooManyRequests, "too many wrong tokens from your address"
	}
	switch {
	case errors.Is(err, errVersion):
		return http.StatusPreconditionFailed, "send Tus-Resumable: " + tusVersion
	case errors.Is(err, errTusMethod):
		return http.StatusMethodNotAllowed, "not a method for this path"
	case errors.Is(err, errTusContent):
		return http.StatusUnsupportedMediaType, "send Content-Type: " + tusContent
	case errors.Is(err, errOffset):
		return http.StatusConflict, "Upload-Offset is not where the upload is"
	case errors.Is(err, errLong):
		return http.StatusRequestEntityTooLarge, "more content than the upload is long"
	case errors.Is(err, errPieceSum):
		return statusChecksum, "content does not have the checksum announced"
	case errors.Is(err, errLocked), errors.Is(err, errTakenOver):
		return http.StatusLocked, "another request works on this upload"
	case errors.Is(err, errEnding):
		return http.StatusServiceUnavailable, "the server stops or restarts, go on in a moment"
	case errors.Is(err, errFinished):
		return http.StatusForbidden, "upload is finished"
	case errors.Is(err, errManyUploads):
		return http.StatusTooManyRequests, "too many unfinished uploads"
	case errors.Is(err, errManySteps):
		return http.StatusBadRequest, "too many small pieces, begin anew with larger ones"
	case errors.Is(err, object.ErrNoUpload):
		return http.StatusNotFound, "no such upload"
	case errors.Is(err, errPath):
		return http.StatusNotFound, "not found"
	case errors.Is(err, errToken):
		return http.StatusForbidden, "token doesn't exist"
	case errors.Is(err, errTooLarge), errors.Is(err, object.ErrTooLarge):
		return http.StatusRequestEntityTooLarge, "file is too large"
	case errors.Is(err, errQuota):
		return http.StatusInsufficientStorage, "the bucket's quota has no room for it"
	case errors.Is(err, errNoFile):
		return http.StatusPreconditionFailed, "missed 'file' field in form"
	case errors.Is(err, errNoName):
		return http.StatusPreconditionFailed, "no file name in the path: PUT /TOKEN/NAME; if it ends in a slash curl -T adds the name"
	case errors.Is(err, errNoLength):
		return http.StatusLengthRequired, "no file: neither Content-Length nor Transfer-Encoding"
	case errors.Is(err, errManyFile):
		return http.StatusBadRequest, "only one file per push, in the field 'file'"
	case errors.Is(err, errFrame):
		return http.StatusBadRequest, "form holds more than 16 KiB beside the file"
	case errors.Is(err, errBroken):
		return http.StatusBadRequest, "form is broken"
	case errors.Is(err, errCut):
		return http.StatusBadRequest, "upload is incomplete"
	case errors.Is(err, errIdle):
		return http.StatusRequestTimeout, "no data for too long"
	case errors.Is(err, errSlow):
		return http.StatusRequestTimeout, "upload is too slow"
	case errors.Is(err, errTokenBusy):
		return http.StatusTooManyRequests, "too many uploads at once with this token"
	case errors.Is(err, errBusy):
		return http.StatusServiceUnavailable, "too many uploads at once"
	case errors.Is(err, object.ErrNoSpace):
		return http.StatusInsufficientStorage, "no space left"
	case errors.Is(err, context.Canceled):
		// The client is gone, or the daemon is about to be: whoever still listens may try again.
		return http.StatusServiceUnavailable, "upload was interrupted"
	case errors.Is(err, errBucket):
		return http.StatusUnauthorized, "cannot create bucket dir or writable"
	case errors.Is(err, object.ErrDigest):
		return http.StatusUnprocessableEntity, "content does not have the digest announced"
	case errors.Is(err, fs.ErrExist), errors.Is(err, object.ErrPrecondition):
		return http.StatusMethodNotAllowed, "file exists"
	case errors.Is(err, object.ErrNoBucket):
		return http.StatusForbidden, "bucket doesn't exist"
	case errors.Is(err, fs.ErrPermission):
		return http.StatusForbidden, "not allowed"
	default:
		return http.StatusInternalServerError, "internal error"
	}
}

// eventOf says how a request ended: stored, refused for its token, denied by a rule, or failed on the way.
func eventOf(status int, err error) string {
	switch {
	case err == nil:
		return "stored"
	case errors.Is(err, errToken):
		return "auth-failed"
	case errors.Is(err, errQuota):
		return "denied"
	case status >= http.StatusInternalServerError, errors.Is(err, errHook),
		errors.Is(err, errBucket), errors.Is(err, object.ErrDigest), errors.Is(err, errTakenOver), errors.Is(err, errCut), errors.Is(err, errBroken), errors.Is(err, errIdle), errors.Is(err, errSlow):
		return "failed"
	default:
		return "denied"
	}
}

// hopeless says of an error of complete that another try has the same. What the file system does not permit it permits when somebody has
// put its owner or mode right, and what came may have taken days.
func hopeless(err error) bool {
	status, _ := answerTo(err)
	return err != nil && status < http.StatusInternalServerError && !errors.Is(err, fs.ErrPermission)
}
