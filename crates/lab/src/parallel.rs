//! Work on several nodes at once, a few at a time: the machine has few cores.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Result;

/// Calls `work` for every item, at most `width` at once. All are tried; the first error in order is returned.
pub fn for_each<T: Sync, R: Send>(
    items: &[T],
    width: usize,
    work: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..width.min(items.len()) {
            scope.spawn(|| {
                while let Some((index, item)) = take(items, &next) {
                    let result = work(item);
                    done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

fn take<'a, T>(items: &'a [T], next: &AtomicUsize) -> Option<(usize, &'a T)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    Some((index, items.get(index)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn results_keep_the_order() {
        let doubled = for_each(&[1, 2, 3, 4, 5], 2, |number| Ok(number * 2)).unwrap();
        assert_eq!(doubled, [2, 4, 6, 8, 10]);
    }

    #[test]
    fn all_are_tried_and_the_first_error_is_returned() {
        let tried = AtomicUsize::new(0);
        let result = for_each(&[1, 2, 3], 1, |number| {
            tried.fetch_add(1, Ordering::Relaxed);
            if *number == 3 { Ok(()) } else { Err(Error::Refused(number.to_string())) }
        });
        assert_eq!(result.unwrap_err().to_string(), "1");
        assert_eq!(tried.into_inner(), 3);
    }
}
