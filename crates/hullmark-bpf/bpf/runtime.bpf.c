// SPDX-License-Identifier: Apache-2.0
// What the agent sees and stops from inside the kernel, in the containers that it tracks and nowhere else.
//
// `containers` says which control groups are tracked. `gated` says which file systems and mounts of a container have a
// fanotify gate, where user space judges a program by its content before it may be opened for execution. A program from
// anywhere else (memfd, a file system that appeared later) was judged by nobody: it is killed here, before its first
// instruction, when the container is to be held to its image.
//
// The records below are shared with src/record.rs; `layout` carries their sizes and is compared when the object is loaded.

#include "vmlinux_min.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define LAYOUT_VERSION 2
#define ANCESTORS 8
#define PATH_SIZE 256
#define NAME_SIZE 16

enum kind { KIND_EXEC = 1, KIND_EXIT = 2, KIND_CONNECT = 3 };

// Flags of an event.
#define FLAG_KILLED 1    // killed before its first instruction
#define FLAG_SCRIPT 2    // a script: the program that runs is its interpreter
#define FLAG_OUTSIDE 4   // the program comes from where no gate is
#define FLAG_MEMFD 8     // the program has no name in any file system and lives in memory
#define FLAG_LOADER 16   // it is the ELF interpreter (the dynamic loader) that comes from there
#define FLAG_UNCHECKED 32 // the place of the ELF interpreter could not be looked up

// Flags of a container: what is killed.
#define KILL_OUTSIDE 1
#define KILL_MEMFD 2

#define SIGKILL 9
#define TMPFS_MAGIC 0x01021994
#define HUGETLBFS_MAGIC 0x958458f6

struct process {
	__u32 pid;
	char name[NAME_SIZE];
};

struct event {
	__u16 kind;
	__u16 size;
	__u32 flags;
	__u64 time;
	__u64 container;
	__u64 inode;
	__u32 device;
	__u32 user;
	__s32 code;
	__u16 port;
	__u16 family;
	__u8 address[16];
	struct process ancestry[ANCESTORS];
	// Only in KIND_EXEC.
	char path[PATH_SIZE];
};
#define SHORT_EVENT offset_in(struct event, path)

struct container {
	__u64 number;
	__u32 flags;
	// Mount namespace of the container runtime that set the container up; 0 when it is that of the agent.
	__u32 runtime_mount_namespace;
};

enum gate_kind { GATE_SUPERBLOCK = 0, GATE_MOUNT = 1 };

struct gate {
	__u64 container;
	__u32 kind;
	__u32 id;
};

struct layout {
	__u32 version;
	__u32 event_size;
	__u32 short_event_size;
	__u32 container_size;
	__u32 gate_size;
	__u32 counters;
};

// How many events were seen, dropped for want of space, how many programs were killed, and how many control groups within
// containers found no space in the map.
enum counter { COUNTER_SEEN = 0, COUNTER_DROPPED = 1, COUNTER_KILLED = 2, COUNTER_UNTRACKED = 3, COUNTERS = 4 };

const volatile struct layout layout SEC(".rodata.layout") = {
	.version = LAYOUT_VERSION,
	.event_size = sizeof(struct event),
	.short_event_size = SHORT_EVENT,
	.container_size = sizeof(struct container),
	.gate_size = sizeof(struct gate),
	.counters = COUNTERS,
};

// Set by the loader: the mount namespace of the host, in which no process of a container lives.
const volatile __u32 host_mount_namespace SEC(".rodata.host") = 0;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, __u64);
	__type(value, struct container);
} containers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct gate);
	__type(value, __u8);
} gated SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 * 1024 * 1024);
} events SEC(".maps");

static always_inline void count(__u32 which)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &which);
	if (value)
		*value += 1;
}

// The tracked container that a task runs in. What a runtime does in a container's control group before it has entered the
// container's mount namespace (runc executes a copy of itself from memory) is not the container's doing.
static always_inline struct container *tracked(struct task_struct *task)
{
	__u64 cgroup = bpf_get_current_cgroup_id();
	struct container *container = bpf_map_lookup_elem(&containers, &cgroup);
	if (!container)
		return NULL;
	__u32 namespace = 0;
	struct nsproxy *proxy = task->nsproxy;
	if (proxy)
		namespace = proxy->mnt_ns->ns.inum;
	if (namespace == host_mount_namespace || namespace == container->runtime_mount_namespace)
		return NULL;
	return container;
}

static always_inline struct event *begin(struct task_struct *task, struct container *container, __u16 kind, __u64 size)
{
	count(COUNTER_SEEN);
	struct event *event = bpf_ringbuf_reserve(&events, size, 0);
	if (!event) {
		count(COUNTER_DROPPED);
		return NULL;
	}
	event->kind = kind;
	event->size = size;
	event->flags = 0;
	event->time = bpf_ktime_get_ns();
	event->container = container->number;
	event->inode = 0;
	event->device = 0;
	event->user = (__u32)bpf_get_current_uid_gid();
	event->code = 0;
	event->port = 0;
	event->family = 0;
	__builtin_memset(event->address, 0, sizeof(event->address));
	struct task_struct *ancestor = task;
#pragma unroll
	for (int i = 0; i < ANCESTORS; i++) {
		__u32 pid = 0;
		if (ancestor)
			pid = ancestor->tgid;
		event->ancestry[i].pid = pid;
		__builtin_memset(event->ancestry[i].name, 0, NAME_SIZE);
		if (pid) {
			bpf_probe_read_kernel_str(event->ancestry[i].name, NAME_SIZE, &ancestor->comm);
			ancestor = ancestor->real_parent;
		} else {
			ancestor = NULL;
		}
	}
	return event;
}

// What a pointer's field holds, read through the helper: the pointer may come from memory, so the verifier does not know its
// type.
#define read_field(into, pointer, type, field) \
	bpf_probe_read_kernel(&(into), sizeof(into), (char *)(pointer) + field_offset(type, field))

// Where a path leads: 0 when a gate of the container covers it.
static always_inline __u32 outside_at(struct container *container, char *path)
{
	struct vfsmount *mount = NULL;
	struct dentry *name = NULL;
	struct super_block *superblock = NULL;
	read_field(mount, path, struct path, mnt);
	read_field(name, path, struct path, dentry);
	read_field(superblock, name, struct dentry, d_sb);
	struct gate key = { .container = container->number, .kind = GATE_SUPERBLOCK, .id = 0 };
	read_field(key.id, superblock, struct super_block, s_dev);
	if (bpf_map_lookup_elem(&gated, &key))
		return 0;
	key.kind = GATE_MOUNT;
	key.id = 0;
	// mnt_id is beside the `struct vfsmount` that the path points to, in the same `struct mount`.
	bpf_probe_read_kernel(&key.id, sizeof(key.id),
			      (char *)mount + (field_offset(struct mount, mnt_id) - field_offset(struct mount, mnt)));
	if (bpf_map_lookup_elem(&gated, &key))
		return 0;
	struct inode *inode = NULL;
	unsigned long magic = 0;
	__u32 links = 1;
	read_field(inode, name, struct dentry, d_inode);
	read_field(magic, superblock, struct super_block, s_magic);
	read_field(links, inode, struct inode, __i_nlink);
	__u32 flags = FLAG_OUTSIDE;
	if (links == 0 && (magic == TMPFS_MAGIC || magic == HUGETLBFS_MAGIC))
		flags |= FLAG_MEMFD;
	return flags;
}

// Where a file comes from: 0 when a gate of the container covers it.
static always_inline __u32 outside(struct container *container, struct file *file)
{
	return outside_at(container, (char *)file + field_offset(struct file, f_path));
}

// The same for a file that is mapped. What is mapped of a file on overlayfs is the file below, which remembers the path that
// was opened. No stable mark tells such a file from others; what is behind another one is no path, and leads to no gate.
static always_inline __u32 mapped_outside(struct container *container, struct file *file)
{
	__u32 flags = outside(container, file);
	if (flags && type_exists(struct backing_file) &&
	    !outside_at(container, (char *)file + field_offset(struct backing_file, user_path)))
		return 0;
	return flags;
}

// A script that was executed through an open descriptor (`/dev/fd/N`, `/proc/self/fd/N`): its interpreter was judged, the
// script itself only if a gate covers it. Only a path that is written like that leads to the script here: one that is written
// otherwise, or a symbolic link, cannot be resolved, and a script from where no gate is then runs (see docs/agent.md, Limits).
static always_inline __u32 script_outside(struct task_struct *task, struct container *container, const char *path)
{
	char text[32];
	if (bpf_probe_read_kernel_str(text, sizeof(text), path) < 0)
		return 0;
	__u32 number = 0, digits = 0, after_fd = 0;
#pragma unroll
	for (int i = 0; i < 31; i++) {
		char c = text[i];
		if (c == 0)
			break;
		if (i >= 3 && c == '/' && text[i - 1] == 'd' && text[i - 2] == 'f' && text[i - 3] == '/') {
			after_fd = 1;
			number = 0;
			digits = 0;
		} else if (c >= '0' && c <= '9') {
			number = number * 10 + (c - '0');
			digits++;
		} else if (after_fd) {
			after_fd = 0;
		}
	}
	if (!after_fd || digits == 0 || digits > 7)
		return 0;
	struct fdtable *table = task->files->fdt;
	if (number >= table->max_fds)
		return 0;
	struct file *file = NULL;
	struct file **slot = table->fd;
	bpf_probe_read_kernel(&file, sizeof(file), slot + number);
	if (!file)
		return 0;
	return outside(container, file);
}

struct loader_check {
	struct container *container;
	__u32 flags;
	__u32 found;
	__u64 number;
};

static long check_loader(struct task_struct *task, struct vm_area_struct *area, struct loader_check *check)
{
	struct file *file = area->vm_file;
	check->found = 1;
	if (file) {
		struct container container = { .number = check->number };
		check->flags = mapped_outside(&container, file);
	}
	return 0;
}

SEC("tp_btf/sched_process_exec")
int on_exec(__u64 *context)
{
	struct task_struct *task = (struct task_struct *)context[0];
	struct linux_binprm *program = (struct linux_binprm *)context[2];
	struct container *container = tracked(task);
	if (!container)
		return 0;
	__u32 flags = outside(container, program->file);
	if (program->interp != program->filename) {
		flags |= FLAG_SCRIPT;
		flags |= script_outside(task, container, program->filename);
	}
	if (!(flags & FLAG_OUTSIDE)) {
		// The first instruction is that of the dynamic loader, which the program names by path: judge what is mapped
		// where the program will begin.
		struct pt_regs *registers = (struct pt_regs *)bpf_task_pt_regs(task);
		struct loader_check check = { .number = container->number };
		if (bpf_find_vma(task, registers->ip, check_loader, &check, 0) || !check.found)
			flags |= FLAG_UNCHECKED;
		else if (check.flags)
			flags |= check.flags | FLAG_LOADER;
	}
	__u32 kill = container->flags & (flags & FLAG_MEMFD ? KILL_MEMFD : KILL_OUTSIDE);
	if ((flags & FLAG_OUTSIDE) && kill && bpf_send_signal(SIGKILL) == 0) {
		flags |= FLAG_KILLED;
		count(COUNTER_KILLED);
	}
	struct event *event = begin(task, container, KIND_EXEC, sizeof(struct event));
	if (!event)
		return 0;
	event->flags = flags;
	event->inode = program->file->f_inode->i_ino;
	event->device = program->file->f_inode->i_sb->s_dev;
	__builtin_memset(event->path, 0, 8);
	bpf_probe_read_kernel_str(event->path, PATH_SIZE, program->filename);
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int on_exit(__u64 *context)
{
	struct task_struct *task = (struct task_struct *)context[0];
	struct container *container = tracked(task);
	if (!container)
		return 0;
	// Only the last thread of a process ends it.
	if (task->signal->live.counter != 0)
		return 0;
	struct event *event = begin(task, container, KIND_EXIT, SHORT_EVENT);
	if (!event)
		return 0;
	__s32 code = task->signal->group_exit_code;
	event->code = code ? code : task->exit_code;
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return 0;
}

// A control group within that of a container belongs to the container.
SEC("tp_btf/cgroup_mkdir")
int on_cgroup_mkdir(__u64 *context)
{
	struct cgroup *cgroup = (struct cgroup *)context[0];
	if (cgroup->root->hierarchy_id != 0)
		return 0;
	struct kernfs_node *node = cgroup->kn;
	struct kernfs_node *parent;
	if (field_exists(node->__parent)) {
		parent = node->__parent;
	} else {
		parent = ((struct kernfs_node___until_6_14 *)node)->parent;
	}
	if (!parent)
		return 0;
	__u64 id = parent->id;
	struct container *container = bpf_map_lookup_elem(&containers, &id);
	if (!container)
		return 0;
	id = node->id;
	if (bpf_map_update_elem(&containers, &id, container, BPF_ANY))
		count(COUNTER_UNTRACKED);
	return 0;
}

SEC("tp_btf/cgroup_rmdir")
int on_cgroup_rmdir(__u64 *context)
{
	struct cgroup *cgroup = (struct cgroup *)context[0];
	if (cgroup->root->hierarchy_id != 0)
		return 0;
	__u64 id = cgroup->kn->id;
	bpf_map_delete_elem(&containers, &id);
	return 0;
}

// Attached to the control group of each tracked container: observes, always allows.
static always_inline void connected(struct bpf_sock_addr *address, __u16 family)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct container *container = tracked(task);
	if (!container)
		return;
	struct event *event = begin(task, container, KIND_CONNECT, SHORT_EVENT);
	if (!event)
		return;
	event->family = family;
	event->port = __builtin_bswap16((__u16)address->user_port);
	__u32 words[4] = { address->user_ip4, 0, 0, 0 };
	if (family == 10) {
		words[0] = address->user_ip6[0];
		words[1] = address->user_ip6[1];
		words[2] = address->user_ip6[2];
		words[3] = address->user_ip6[3];
	}
	__builtin_memcpy(event->address, words, sizeof(words));
	event->code = address->protocol;
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}

SEC("cgroup/connect4")
int on_connect4(struct bpf_sock_addr *address)
{
	connected(address, 2);
	return 1;
}

SEC("cgroup/connect6")
int on_connect6(struct bpf_sock_addr *address)
{
	connected(address, 10);
	return 1;
}

// Never attached: whether it loads tells whether this kernel accepts BPF LSM programs.
SEC("lsm/bprm_check_security")
int lsm_probe(__u64 *context)
{
	return (int)context[1];
}
