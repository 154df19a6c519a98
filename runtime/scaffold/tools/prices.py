"""What a stay costs. Change the numbers here; agents read them through the function and never guess."""

PRICE_PER_NIGHT = {1: 90, 2: 120, 3: 150}  # dollars, by number of guests
BREAKFAST = 14  # dollars for each guest and morning


def room_price(guests: int, nights: int, with_breakfast: bool) -> dict[str, object]:
    """Tell what a stay costs. Use it before naming any price.

    Args:
        guests: How many people sleep in the room.
        nights: How many nights they stay.
        with_breakfast: Whether they want breakfast.
    """
    if guests not in PRICE_PER_NIGHT or nights < 1:
        return {"known": False, "say": f"We have rooms for one to {max(PRICE_PER_NIGHT)} guests."}
    dollars = nights * (PRICE_PER_NIGHT[guests] + with_breakfast * guests * BREAKFAST)
    breakfast = "with breakfast" if with_breakfast else "without breakfast"
    return {"known": True, "dollars": dollars, "say": f"That is {dollars} dollars in all, {breakfast}."}
