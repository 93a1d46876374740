/* SPDX-License-Identifier: Apache-2.0 */
/* The few kernel types that runtime.bpf.c reads, with the fields it reads and no others. Offsets are relocated against the
 * running kernel's own type information when the object is loaded (CO-RE), so neither order nor size matters here. */
#ifndef HULLMARK_VMLINUX_MIN_H
#define HULLMARK_VMLINUX_MIN_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef int __s32;
typedef long long __s64;

#define NULL ((void *)0)

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common {
	unsigned int inum;
};

struct mnt_namespace {
	struct ns_common ns;
};

struct nsproxy {
	struct mnt_namespace *mnt_ns;
};

struct super_block {
	__u32 s_dev;
	unsigned long s_magic;
};

struct inode {
	struct super_block *i_sb;
	unsigned long i_ino;
	unsigned int __i_nlink;
};

struct vfsmount {
	int mnt_flags;
};

/* The kernel's private part around a `struct vfsmount`. */
struct mount {
	struct vfsmount mnt;
	int mnt_id;
};

struct dentry {
	struct super_block *d_sb;
	struct inode *d_inode;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct file {
	struct path f_path;
	struct inode *f_inode;
};

/* Since Linux 6.5: the file below overlayfs that is mapped in place of the one that was opened. */
struct backing_file {
	struct path user_path;
};

struct linux_binprm {
	struct file *file;
	const char *filename;
	const char *interp;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live;
	int group_exit_code;
};

struct vm_area_struct {
	struct file *vm_file;
};

struct pt_regs {
	unsigned long ip;
};

struct task_struct {
	__s32 pid;
	__s32 tgid;
	int exit_code;
	struct task_struct *real_parent;
	char comm[16];
	struct nsproxy *nsproxy;
	struct files_struct *files;
	struct signal_struct *signal;
};

struct kernfs_node {
	/* Since Linux 6.15. */
	struct kernfs_node *__parent;
	__u64 id;
};

/* Before Linux 6.15. */
struct kernfs_node___until_6_14 {
	struct kernfs_node *parent;
};

struct cgroup_root {
	int hierarchy_id;
};

struct cgroup {
	struct kernfs_node *kn;
	struct cgroup_root *root;
};

#pragma clang attribute pop

/* Part of the stable interface (linux/bpf.h): not relocated. */
struct bpf_sock_addr {
	__u32 user_family;
	__u32 user_ip4;
	__u32 user_ip6[4];
	__u32 user_port;
	__u32 family;
	__u32 type;
	__u32 protocol;
};

enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_RINGBUF = 27,
};

enum { BPF_ANY = 0 };
enum { BPF_RB_NO_WAKEUP = 1 };

/* Helpers by their numbers in linux/bpf.h, which never change. */
static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*bpf_map_update_elem)(void *map, const void *key, const void *value, __u64 flags) = (void *)2;
static long (*bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static __u64 (*bpf_ktime_get_ns)(void) = (void *)5;
static __u64 (*bpf_get_current_uid_gid)(void) = (void *)15;
static __u64 (*bpf_get_current_cgroup_id)(void) = (void *)80;
static long (*bpf_send_signal)(__u32 signal) = (void *)109;
static long (*bpf_probe_read_kernel)(void *to, __u32 size, const void *from) = (void *)113;
static long (*bpf_probe_read_kernel_str)(void *to, __u32 size, const void *from) = (void *)115;
static void *(*bpf_ringbuf_reserve)(void *ring, __u64 size, __u64 flags) = (void *)131;
static void (*bpf_ringbuf_submit)(void *data, __u64 flags) = (void *)132;
static struct task_struct *(*bpf_get_current_task_btf)(void) = (void *)158;
static long (*bpf_task_pt_regs)(struct task_struct *task) = (void *)175;
static long (*bpf_find_vma)(struct task_struct *task, __u64 address, void *callback, void *context, __u64 flags) =
	(void *)180;

#define SEC(name) __attribute__((section(name), used))
#define always_inline inline __attribute__((always_inline))
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name
#define offset_in(type, field) ((unsigned long)&((type *)0)->field)
/* Whether, and where, the running kernel has a field. */
#define field_exists(field) __builtin_preserve_field_info(field, 2)
#define type_exists(type) __builtin_preserve_type_info(*(type *)0, 0)
#define field_offset(type, field) __builtin_preserve_field_info(((type *)0)->field, 0)

#endif
