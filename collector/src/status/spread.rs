//! Work on many things at once, on all processors, with the answers in the order of the things.

use std::sync::{Mutex, OnceLock, PoisonError};

/// Fewest things for which another thread is worth its start.
const SHARE_MIN: usize = 8;
/// Most threads: what they wait for then is the disk.
const THREADS_MAX: usize = 8;

/// Does `work` on each of `things`, on as many threads as there are processors.
///
/// A panic in `work` goes on in the caller.
pub(crate) fn spread<T: Send, R: Send>(things: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    static PROCESSORS: OnceLock<usize> = OnceLock::new();
    let processors =
        *PROCESSORS.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from));
    let threads = processors.min(THREADS_MAX).min(things.len() / SHARE_MIN);
    if threads < 2 {
        return things.into_iter().map(work).collect();
    }
    let many = things.len();
    let waiting = Mutex::new(things.into_iter().enumerate());
    let take = || {
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.next()
    };
    let worker = || {
        let mut done = Vec::new();
        while let Some((place, thing)) = take() {
            done.push((place, work(thing)));
        }
        done
    };
    let mut done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(worker)).collect();
        let mut done = worker();
        for other in others {
            match other.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    debug_assert_eq!(done.len(), many, "a thing was lost");
    done.sort_unstable_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, answer)| answer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_stand_in_the_order_of_the_things() {
        for many in [0, 1, 7, 8, 16, 1000] {
            let things: Vec<usize> = (0..many).collect();
            let doubled: Vec<usize> = things.iter().map(|thing| thing * 2).collect();
            assert_eq!(spread(things, |thing| thing * 2), doubled);
        }
    }
}
