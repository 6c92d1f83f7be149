package wasi

import "github.com/dialtone-gpu/dialtone/hostcall/errno"

// Error numbers of WASI preview 1 that have no portable number, or that the device gives by itself.
const (
	wasiFault = 21
	wasiIO    = 29
	wasiNosys = 52
)

// wasiErrnos is the type errno of WASI preview 1, by portable number. What has none there is wasiIO.
var wasiErrnos = [256]uint32{
	errno.E2BIG: 1, errno.EACCES: 2, errno.EADDRINUSE: 3, errno.EADDRNOTAVAIL: 4, errno.EAFNOSUPPORT: 5, errno.EAGAIN: 6, errno.EALREADY: 7,
	errno.EBADF: 8, errno.EBADMSG: 9, errno.EBUSY: 10, errno.ECANCELED: 11, errno.ECHILD: 12, errno.ECONNABORTED: 13, errno.ECONNREFUSED: 14,
	errno.ECONNRESET: 15, errno.EDEADLK: 16, errno.EDESTADDRREQ: 17, errno.EDOM: 18, errno.EDQUOT: 19, errno.EEXIST: 20,
	errno.EFAULT: wasiFault, errno.EFBIG: 22, errno.EHOSTUNREACH: 23, errno.EIDRM: 24, errno.EILSEQ: 25, errno.EINPROGRESS: 26,
	errno.EINTR: 27, errno.EINVAL: 28, errno.EIO: wasiIO, errno.EISCONN: 30, errno.EISDIR: 31, errno.ELOOP: 32, errno.EMFILE: 33,
	errno.EMLINK: 34, errno.EMSGSIZE: 35, errno.EMULTIHOP: 36, errno.ENAMETOOLONG: 37, errno.ENETDOWN: 38, errno.ENETRESET: 39,
	errno.ENETUNREACH: 40, errno.ENFILE: 41, errno.ENOBUFS: 42, errno.ENODEV: 43, errno.ENOENT: 44, errno.ENOEXEC: 45, errno.ENOLCK: 46,
	errno.ENOLINK: 47, errno.ENOMEM: 48, errno.ENOMSG: 49, errno.ENOPROTOOPT: 50, errno.ENOSPC: 51, errno.ENOSYS: wasiNosys,
	errno.ENOTCONN: 53, errno.ENOTDIR: 54, errno.ENOTEMPTY: 55, errno.ENOTRECOVERABLE: 56, errno.ENOTSOCK: 57, errno.ENOTSUP: 58,
	errno.ENOTTY: 59, errno.ENXIO: 60, errno.EOVERFLOW: 61, errno.EOWNERDEAD: 62, errno.EPERM: 63, errno.EPIPE: 64, errno.EPROTO: 65,
	errno.EPROTONOSUPPORT: 66, errno.EPROTOTYPE: 67, errno.ERANGE: 68, errno.EROFS: 69, errno.ESPIPE: 70, errno.ESRCH: 71, errno.ESTALE: 72,
	errno.ETIMEDOUT: 73, errno.ETXTBSY: 74, errno.EXDEV: 75, errno.ENOTCAPABLE: 76,
	// Those that Linux has names for and WASI has not.
	errno.ESHUTDOWN: 64, errno.ENOTBLK: 58, errno.ESOCKTNOSUPPORT: 66, errno.EPFNOSUPPORT: 5, errno.EHOSTDOWN: 23,
}

func wasiErrno(e errno.Errno) uint32 {
	if n := wasiErrnos[e]; n != 0 || e == errno.OK {
		return n
	}
	return wasiIO
}
