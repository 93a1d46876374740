//! How many connections are open: each holds a place from when it is accepted until it is closed. One that takes nothing of
//! its answer for a while is closed, so that clients that stall cannot hold all places.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum_server::accept::Accept;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

/// How long a client may take nothing of what is sent to it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Accepts connections as long as there are places; others are closed at once.
#[derive(Debug, Clone)]
pub(crate) struct Places(Arc<Semaphore>);

impl Places {
    pub(crate) fn new(number: usize) -> Self {
        Self(Arc::new(Semaphore::new(number.min(Semaphore::MAX_PERMITS))))
    }
}

impl<I, S> Accept<I, S> for Places {
    type Stream = Held<I>;
    type Service = S;
    type Future = std::future::Ready<io::Result<(Held<I>, S)>>;

    fn accept(&self, inner: I, service: S) -> Self::Future {
        std::future::ready(match Arc::clone(&self.0).try_acquire_owned() {
            Ok(place) => Ok((Held { inner, _place: place, patience: PATIENCE, stalled: None }, service)),
            Err(_) => {
                metrics::counter!("hullmark_connections_refused_total").increment(1);
                Err(io::Error::other("too many connections"))
            }
        })
    }
}

/// A connection with its place.
#[derive(Debug)]
pub(crate) struct Held<I> {
    inner: I,
    _place: OwnedSemaphorePermit,
    patience: Duration,
    /// Ends when the client has taken nothing for too long.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<I> Held<I> {
    /// Lets a result of the connection pass, and gives the connection up when there is none for too long.
    fn watched<T>(&mut self, context: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.stalled = None;
            return result;
        }
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        match stalled.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                metrics::counter!("hullmark_connections_stalled_total").increment(1);
                Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the client takes nothing of its answer",
                )))
            }
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Held<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Held<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.watched(context, result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write_vectored(context, buffers);
        self.watched(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_client_that_takes_nothing_loses_its_place() {
        let places = Places::new(1);
        let (ours, mut theirs) = tokio::io::duplex(16);
        let (mut held, ()) = places.accept(ours, ()).await.unwrap();
        held.patience = Duration::from_millis(50);
        assert!(places.accept((), ()).await.is_err());
        // One that is slow, and takes something now and then, is served.
        let slow = tokio::spawn(async move {
            for _ in 0..8 {
                tokio::time::sleep(Duration::from_millis(20)).await;
                theirs.read_exact(&mut [0; 16]).await.unwrap();
            }
            theirs
        });
        held.write_all(&[0; 128]).await.unwrap();
        let _theirs = slow.await.unwrap();
        let error = held.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(held);
        assert!(places.accept((), ()).await.is_ok());
    }
}
